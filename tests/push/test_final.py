"""The final student on the Hub: its repository and card, and the rounds that lead to it."""

from huggingface_hub import ModelCard

from s3_hf.files import read_json
from s3_hf.hub import PushOptions, preview_push, push_run, write_folders
from s3_hf.store import open_run
from tests.run_maker import add_final


def test_the_final_student_is_published_and_the_rounds_lead_to_it(run, hub):
    before = push_run(run, hub.name, **hub.login)
    add_final(run)
    published = push_run(open_run(run.path), hub.name, **hub.login)
    final = published[-1]
    assert (final.kind, final.round, final.repo) == ("model", None, f"{hub.name}/s3-snippets")
    assert [each.repo for each in published[:-1]] == [each.repo for each in before]
    assert [each.changed for each in published] == [False, True, False, True, True]
    for each in published[1:4:2]:
        assert ModelCard(hub.text(each.repo, kind="model")).data.new_version == final.repo
    card = ModelCard(hub.text(final.repo, kind="model"))
    assert "new_version" not in card.data.to_dict()
    assert card.data.datasets == [f"{hub.name}/s3-snippets-round1", "someone/snippets"]
    assert published[2].commit in card.text
    assert "**Synthetic rows add +10.0 points" in card.text
    assert "6 synthetic rows, then 600 human-labelled gold rows" in card.text
    assert "single human-labelled" not in card.text
    assert read_json(run.final.published)["model"]["commit"] == final.commit
    again = push_run(open_run(run.path), hub.name, **hub.login)
    assert not [each.repo for each in again if each.changed]


def test_the_final_student_is_in_folders_and_in_a_dry_run(run, hub, tmp_path):
    add_final(run)
    written = write_folders(run, tmp_path / "out", options=PushOptions(name="films"))
    assert [each.repo for each in written][-1] == "local/films"
    assert (tmp_path / "out" / "models" / "local" / "films" / "model.safetensors").exists()
    assert (
        read_json(tmp_path / "out" / "models" / "local" / "films" / "s3" / "run.json")["verdict"]["judged"] == "after"
    )
    previews = preview_push(run, tmp_path / "dry", hub.name, **hub.login)
    assert [each.round for each in previews] == [0, 0, 1, 1, None]
    assert all(each.new for each in previews)


def test_a_final_student_without_weights_is_left_out(run, hub):
    add_final(run)
    for file in run.final.model.glob("*.safetensors"):
        file.unlink()
    assert [each.round for each in push_run(run, hub.name, **hub.login)] == [0, 0, 1, 1]
