"""Sessions of real clients. The `client` fixture runs each function in an interpreter of its own."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def hub_publishes(repo: str) -> None:
    """huggingface_hub: commit, upload_folder, no-op, delete, copy, pull request, read back."""
    from huggingface_hub import (
        CommitOperationAdd,
        CommitOperationCopy,
        CommitOperationDelete,
        HfApi,
        hf_hub_download,
        snapshot_download,
    )

    api, kind = HfApi(), {"repo_type": "dataset"}
    api.create_repo(repo, **kind)
    assert api.create_repo(repo, exist_ok=True, **kind).repo_id == repo
    large = os.urandom(300_000)
    card = b"---\nlicense: mit\ntags: [synthetic]\n---\nA card.\n"

    def first():
        return [
            CommitOperationAdd("README.md", card),
            CommitOperationAdd("data/train.bin", large),
            CommitOperationAdd("a/b/c.txt", "é".encode() * 200),
        ]

    one = api.create_commit(repo, first(), commit_message="one", commit_description="why", **kind)
    assert one.commit_url.endswith(f"/datasets/{repo}/commit/{one.oid}")
    again = api.create_commit(repo, first(), commit_message="again", **kind)
    assert again.oid == one.oid, "unchanged content makes no commit"
    assert Path(hf_hub_download(repo, "data/train.bin", **kind)).read_bytes() == large

    two = [
        CommitOperationDelete("a/"),
        CommitOperationCopy("data/train.bin", "data/copy.bin"),
        CommitOperationCopy("README.md", "CARD.md"),
    ]
    api.create_commit(repo, two, commit_message="two", **kind)
    folder = Path(snapshot_download(repo, **kind))
    assert (folder / "data/copy.bin").read_bytes() == large
    assert (folder / "CARD.md").read_bytes() == card
    assert sorted(api.list_repo_files(repo, **kind)) == [
        ".gitattributes", "CARD.md", "README.md", "data/copy.bin", "data/train.bin",
    ]  # fmt: skip

    local = Path(os.environ["HF_HOME"], "folder", repo)
    (local / "sub").mkdir(parents=True)
    (local / "sub/x.parquet").write_bytes(os.urandom(5000))
    (local / "empty.txt").touch()
    (local / "notes.txt").write_text("notes\n")
    api.upload_folder(repo_id=repo, folder_path=local, commit_message="folder", **kind)
    head = api.repo_info(repo, **kind).sha
    api.upload_folder(repo_id=repo, folder_path=local, commit_message="folder again", **kind)
    assert api.repo_info(repo, **kind).sha == head

    pull = api.create_commit(
        repo, [CommitOperationAdd("pr.txt", b"pr")], commit_message="by pull request", create_pr=True, **kind
    )
    assert not api.file_exists(repo, "pr.txt", **kind)
    assert api.file_exists(repo, "pr.txt", revision=pull.pr_revision, **kind)
    details = api.get_discussion_details(repo, pull.pr_num, **kind)
    assert (details.status, details.is_pull_request, details.target_branch) == ("open", True, "refs/heads/main")
    assert "+pr" in details.diff
    api.merge_pull_request(repo, pull.pr_num, **kind)
    assert api.file_exists(repo, "pr.txt", **kind)

    (local / "sub/more.parquet").write_bytes(os.urandom(3000))
    proposed = api.upload_folder(
        repo_id=repo, folder_path=local, commit_message="folder by pull request", create_pr=True, **kind
    )
    assert api.file_exists(repo, "sub/more.parquet", revision=proposed.pr_revision, **kind)
    assert not api.file_exists(repo, "sub/more.parquet", **kind)

    info = api.repo_info(repo, files_metadata=True, **kind)
    sizes = {item.rfilename: (item.size, bool(item.lfs)) for item in info.siblings}
    assert sizes["data/train.bin"] == (300_000, True)
    assert sizes["README.md"] == (len(card), False)
    assert "license:mit" in info.tags
    titles = [commit.title for commit in api.list_repo_commits(repo, **kind)]
    assert titles == ["by pull request", "folder", "two", "one", "initial commit"]


def hub_streams_a_file_object(repo: str) -> None:
    """A file object goes by LFS even where Xet is installed."""
    import io

    from huggingface_hub import HfApi, hf_hub_download

    data = os.urandom(200_000)
    api = HfApi()
    api.create_repo(repo)
    api.upload_file(path_or_fileobj=io.BytesIO(data), path_in_repo="x.bin", repo_id=repo)
    assert Path(hf_hub_download(repo, "x.bin")).read_bytes() == data


def hub_manages_refs(repo: str) -> None:
    """Branches, tags, history, squash, paging."""
    import pytest
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

    api = HfApi()
    api.create_repo(repo)
    for number in range(3):
        add = CommitOperationAdd("n.txt", str(number).encode())
        last = api.create_commit(repo, [add], commit_message=f"c{number}")
    api.create_tag(repo, tag="round-2", tag_message="two rounds")
    api.create_tag(repo, tag="light", revision=last.oid[:7])
    api.create_tag(repo, tag="light", exist_ok=True)
    with pytest.raises(HfHubHTTPError, match="already exists"):
        api.create_tag(repo, tag="light")
    with pytest.raises(HfHubHTTPError, match="Invalid reference"):
        api.create_tag(repo, tag="not a tag")
    api.create_branch(repo, branch="feat/x")
    api.create_branch(repo, branch="feat/x", exist_ok=True)
    api.create_commit(repo, [CommitOperationAdd("x.txt", b"x")], commit_message="on branch", revision="feat/x")
    refs = api.list_repo_refs(repo, include_pull_requests=True)
    assert [branch.name for branch in refs.branches] == ["feat/x", "main"]
    assert {tag.name: tag.target_commit for tag in refs.tags} == {"light": last.oid, "round-2": last.oid}
    assert api.file_exists(repo, "x.txt", revision="feat/x")
    assert not api.file_exists(repo, "x.txt")
    assert [item.path for item in api.list_repo_tree(repo, revision="feat/x")] == [".gitattributes", "n.txt", "x.txt"]
    assert len(api.list_repo_commits(repo, revision="feat/x")) == 5
    api.delete_branch(repo, branch="feat/x")
    api.delete_tag(repo, tag="light")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(repo, tag="light")
    with pytest.raises(RevisionNotFoundError):
        api.repo_info(repo, revision="feat/x")
    with pytest.raises(HfHubHTTPError, match="Cannot delete"):
        api.delete_branch(repo, branch="main")
    api.super_squash_history(repo, commit_message="all in one")
    assert [commit.title for commit in api.list_repo_commits(repo)] == ["all in one"]
    assert api.repo_info(repo, revision="round-2").sha == last.oid
    last_commit = next(iter(api.list_repo_tree(repo, revision="round-2", expand=True))).last_commit
    assert last_commit.title == "initial commit"


def hub_manages_repos(owner: str) -> None:
    """Move, settings, gating, lists, collections, discussions, deletion."""
    import pytest
    from huggingface_hub import HfApi
    from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RepositoryNotFoundError

    api = HfApi()
    for number in range(3):
        api.create_repo(f"{owner}/list-{number}", private=number == 2)
        card = f"---\nlicense: mit\npipeline_tag: text-classification\ntags: [n{number}]\n---\n"
        api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=f"{owner}/list-{number}")
    names = {item.id for item in api.list_models(author=owner, search="LIST-")}
    assert names == {f"{owner}/list-{number}" for number in range(3)}
    assert [item.id for item in api.list_models(author=owner, filter="n1")] == [f"{owner}/list-1"]
    assert [item.id for item in api.list_models(author=owner, search="list-", limit=1, sort="created_at")] == [
        f"{owner}/list-2"
    ]
    public = {item.id for item in api.list_models(author=owner, token=False)}
    assert f"{owner}/list-0" in public
    assert f"{owner}/list-2" not in public
    assert api.model_info(f"{owner}/list-0", expand=["pipeline_tag"]).pipeline_tag == "text-classification"
    with pytest.raises(BadRequestError, match="must be one of"):
        api.model_info(f"{owner}/list-0", expand=["nonsense"])

    api.move_repo(f"{owner}/list-0", f"{owner}/moved")
    assert api.model_info(f"{owner}/list-0").id == f"{owner}/moved"
    assert api.file_exists(f"{owner}/list-0", "README.md")
    with pytest.raises(HfHubHTTPError, match="already exists"):
        api.move_repo(f"{owner}/moved", f"{owner}/list-1")
    api.update_repo_settings(f"{owner}/moved", gated="manual")
    assert api.model_info(f"{owner}/moved").gated == "manual"
    api.auth_check(f"{owner}/moved")
    api.update_repo_settings(f"{owner}/list-1", private=True)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info(f"{owner}/list-1", token=False)

    one = api.create_collection("A collection", description="rounds", namespace=owner)
    assert api.create_collection("A collection", namespace=owner, exists_ok=True).slug == one.slug
    for name in ("moved", "list-1"):
        api.add_collection_item(one.slug, f"{owner}/{name}", "model", note=f"the {name}")
    found = api.add_collection_item(one.slug, f"{owner}/moved", "model", exists_ok=True)
    assert (found.items[0].item_id, found.items[0].note) == (f"{owner}/moved", "the moved")
    api.update_collection_item(one.slug, found.items[1].item_object_id, position=0, note="first")
    found = api.get_collection(one.slug)
    assert [item.item_id for item in found.items] == [f"{owner}/list-1", f"{owner}/moved"]
    assert [item.slug for item in api.list_collections(owner=owner)] == [one.slug]
    assert len(api.get_collection(one.slug, token=False).items) == 1, "a private item shows to its owner only"
    assert api.update_collection_metadata(one.slug, title="Renamed").title == "Renamed"
    api.delete_collection_item(one.slug, found.items[0].item_object_id)
    api.delete_collection(one.slug)
    api.delete_collection(one.slug, missing_ok=True)

    talk = api.create_discussion(f"{owner}/moved", "A question", description="why?")
    api.comment_discussion(f"{owner}/moved", talk.num, "because")
    api.rename_discussion(f"{owner}/moved", talk.num, "An answer")
    api.change_discussion_status(f"{owner}/moved", talk.num, "closed")
    details = api.get_discussion_details(f"{owner}/moved", talk.num)
    assert [event.type for event in details.events] == ["comment", "comment", "title-change", "status-change"]
    assert details.title == "An answer"
    assert [item.num for item in api.get_repo_discussions(f"{owner}/moved", discussion_status="closed")] == [talk.num]

    for name in ("moved", "list-1", "list-2"):
        api.delete_repo(f"{owner}/{name}")
    api.delete_repo(f"{owner}/moved", missing_ok=True)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info(f"{owner}/moved")


def hub_names_its_errors(private: str, gated: str) -> None:
    """Each refusal is the client's own exception, with a sentence that says what to do."""
    import pytest
    from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api, bob, reader = HfApi(), os.environ["BOB"], os.environ["READER"]
    add = [CommitOperationAdd("x.txt", b"x")]
    with pytest.raises(HfHubHTTPError, match="401"):
        HfApi(token=False).create_repo("anyone/x")
    with pytest.raises(HfHubHTTPError, match="Invalid"):
        HfApi(token="hf_wrong").whoami()
    with pytest.raises(HfHubHTTPError, match="may only read"):
        api.create_commit(private, add, commit_message="x", repo_type="dataset", token=reader)
    with pytest.raises(HfHubHTTPError, match="under the namespace"):
        api.create_repo("alice/foreign", token=bob)
    with pytest.raises(HfHubHTTPError, match="Invalid repository name"):
        api.create_repo("alice/" + "x" * 94)
    for token in (bob, False):
        with pytest.raises(RepositoryNotFoundError):
            api.repo_info(private, repo_type="dataset", token=token)
        with pytest.raises(RepositoryNotFoundError):
            hf_hub_download(private, "README.md", repo_type="dataset", token=token)
        with pytest.raises(GatedRepoError):
            hf_hub_download(gated, "README.md", repo_type="dataset", token=token)
        assert api.repo_info(gated, repo_type="dataset", token=token).gated == "manual"
    api.grant_access(gated, "bob", repo_type="dataset")
    assert hf_hub_download(gated, "README.md", repo_type="dataset", token=bob)
    assert [item.username for item in api.list_accepted_access_requests(gated, repo_type="dataset")] == ["bob"]
    assert api.repo_info(private, repo_type="dataset", token=reader).private
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(private, "missing.txt", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download(private, "README.md", repo_type="dataset", revision="missing")
    with pytest.raises(ValueError, match="license"):
        api.upload_file(
            path_or_fileobj=b"---\nlicense: [1]\n---\n", path_in_repo="README.md", repo_id=private, repo_type="dataset"
        )
    old = api.repo_info(private, repo_type="dataset").sha
    api.create_commit(private, add, commit_message="x", repo_type="dataset", parent_commit=old)
    stale = [CommitOperationAdd("y.txt", b"y")]
    with pytest.raises(HfHubHTTPError, match="412") as caught:
        api.create_commit(private, stale, commit_message="y", repo_type="dataset", parent_commit=old)
    assert "updated since" in str(caught.value)


def datasets_push_and_load(repo: str) -> None:
    """datasets: push a split, load it back."""
    from datasets import Dataset, load_dataset

    Dataset.from_dict({"text": ["a", "b"]}).push_to_hub(repo)
    assert load_dataset(repo, split="train")["text"][:] == ["a", "b"]


def datasets_round_trip(repo: str) -> None:
    """datasets: push configs and splits, load them back whole, streamed, at a tag, from a branch."""
    from datasets import Dataset, DatasetDict, load_dataset
    from huggingface_hub import DatasetCard, HfApi

    rows = {"text": [f"t{n}" for n in range(50)], "label": [n % 2 for n in range(50)]}
    data = DatasetDict({"train": Dataset.from_dict(rows), "validation": Dataset.from_dict(rows).select(range(5))})
    data.push_to_hub(repo, commit_message="round 1")
    api = HfApi()
    api.create_tag(repo, tag="round-1", repo_type="dataset")
    longer = {key: values * 2 for key, values in rows.items()}
    Dataset.from_dict(longer).push_to_hub(repo, split="train", commit_message="round 2")
    Dataset.from_dict({"n": [1, 2]}).push_to_hub(repo, "errors")
    Dataset.from_dict({"n": [3]}).push_to_hub(repo, "errors", revision="side")

    loaded = load_dataset(repo, "default")
    assert {name: len(split) for name, split in loaded.items()} == {"train": 100, "validation": 5}
    assert loaded["train"]["text"][:2] == ["t0", "t1"]
    assert len(load_dataset(repo, "default", revision="round-1", split="train")) == 50
    assert load_dataset(repo, "errors", split="train")["n"][:] == [1, 2]
    assert load_dataset(repo, "errors", split="train", revision="side")["n"][:] == [3]
    streamed = load_dataset(repo, "default", split="train", streaming=True)
    assert [row["text"] for row in streamed.take(3)] == ["t0", "t1", "t2"]
    assert {"default", "errors"} <= {config["config_name"] for config in DatasetCard.load(repo).data["configs"]}
    head = api.repo_info(repo, repo_type="dataset").sha
    Dataset.from_dict({"n": [1, 2]}).push_to_hub(repo, "errors")
    assert api.repo_info(repo, repo_type="dataset").sha == head, "the same push again makes no commit"


def datasets_loads_by_name(*wanted: str) -> None:
    """datasets: repositories under their own names; each argument is name, config, split and row count."""
    from datasets import load_dataset

    for item in wanted:
        name, config, split, count = item.split(",")
        assert len(load_dataset(name, config or None, split=split)) == int(count), item


def transformers_round_trip(repo: str) -> None:
    """transformers: push a tiny model and tokenizer, load them back, run the pipeline by repository name."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        BertConfig,
        BertForSequenceClassification,
        PreTrainedTokenizerFast,
        pipeline,
    )

    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad"])}
    raw = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]")
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        id2label={0: "negative", 1: "positive"}, label2id={"negative": 0, "positive": 1},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    model.push_to_hub(repo)
    tokenizer.push_to_hub(repo)

    loaded = AutoModelForSequenceClassification.from_pretrained(repo, use_safetensors=True)
    assert all((a == b).all() for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
    assert AutoTokenizer.from_pretrained(repo)("good bad")["input_ids"] == [4, 5]
    answer = pipeline("text-classification", repo, device="cpu")("good")
    assert answer[0]["label"] in ("negative", "positive")


def hub_commits_in_threads(repo: str) -> None:
    """Twelve commits at once without a parent are all kept; of six on one parent exactly one is."""
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api, won, lost = HfApi(), [], []
    api.create_repo(repo)

    def commit(number: int, parent: str | None) -> None:
        add = [CommitOperationAdd(f"{'same' if parent else 'free'}/{number}.txt", str(number).encode())]
        try:
            won.append(api.create_commit(repo, add, commit_message=f"n{number}", parent_commit=parent).oid)
        except HfHubHTTPError as error:
            lost.append(error.response.status_code)

    def together(count: int, parent: str | None) -> None:
        threads = [threading.Thread(target=commit, args=(number, parent)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    together(12, None)
    assert (len(won), lost) == (12, [])
    assert len(api.list_repo_files(repo)) == 13
    assert len(api.list_repo_commits(repo)) == 13
    won.clear()
    together(6, api.repo_info(repo).sha)
    assert (len(won), lost) == (1, [412] * 5)
    assert len(api.list_repo_files(repo)) == 14


def hub_pushes_until_stopped(repo: str, acknowledged: str) -> None:
    """Four threads commit small, LFS and Xet files for ever; each acknowledged commit is a line in the file."""
    import hashlib
    import io
    import time

    import httpx2
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    local = Path(os.environ["HF_HOME"], "pushes")
    local.mkdir(exist_ok=True)

    def push(worker: int) -> None:
        number = 0
        while True:
            number += 1
            data, name = os.urandom(2000), f"{os.getpid()}/{worker}/{number}"
            path = local / f"{worker}.bin"
            path.write_bytes(data)
            sources = {f"{name}.txt": data.hex().encode(), f"{name}.lfs.bin": io.BytesIO(data), f"{name}.bin": path}
            adds = [CommitOperationAdd(target, source) for target, source in sources.items()]
            try:
                done = api.create_commit(repo, adds, commit_message=name, repo_type="dataset")
            except (HfHubHTTPError, httpx2.HTTPError, OSError, RuntimeError):
                time.sleep(0.05)
                continue
            line = f"{done.oid} {name} {hashlib.sha256(data).hexdigest()}\n"
            os.write(out, line.encode())

    out = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for worker in range(4):
        threading.Thread(target=push, args=(worker,), daemon=True).start()
    threading.Event().wait()
