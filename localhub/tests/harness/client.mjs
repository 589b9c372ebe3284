import assert from "node:assert";
import * as hub from "@huggingface/hub";
const hubUrl = process.env.HF_ENDPOINT, accessToken = process.env.HF_TOKEN, repo = { type: "dataset", name: "alice/js" };
const at = { hubUrl, accessToken, repo };
assert.equal((await hub.whoAmI({ hubUrl, accessToken })).name, "alice");
const created = await hub.createRepo({ ...at, private: true });
assert.equal(created.repoUrl, hubUrl + "/datasets/alice/js");
await assert.rejects(hub.createRepo(at), /already created/);
const large = new Uint8Array(300000).map((_, index) => (index * 7919) % 251);
const first = await hub.commit({
  ...at, title: "one", description: "why",
  operations: [
    { operation: "addOrUpdate", path: "README.md", content: new Blob(["---\nlicense: mit\n---\n"]) },
    { operation: "addOrUpdate", path: "data/x.bin", content: new Blob([large]) },
    { operation: "addOrUpdate", path: "d/a b.txt", content: new Blob(["text"]) },
  ],
});
assert.match(first.commit.oid, /^[0-9a-f]{40}$/);
assert.ok(first.commit.url.endsWith("/datasets/alice/js/commit/" + first.commit.oid));
await hub.uploadFiles({ ...at, files: [{ path: "u.parquet", content: new Blob([large.slice(0, 99)]) }], useXet: true });
await hub.deleteFiles({ ...at, paths: ["d/a b.txt"] });
const listed = [];
for await (const file of hub.listFiles({ ...at, recursive: true })) if (file.type === "file") listed.push(file.path);
assert.deepEqual(listed.sort(), [".gitattributes", "README.md", "data/x.bin", "u.parquet"]);
const info = await hub.fileDownloadInfo({ ...at, path: "data/x.bin" });
assert.equal(info.size, large.length);
const blob = await hub.downloadFile({ ...at, path: "data/x.bin" });
assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), large);
assert.deepEqual(new Uint8Array(await blob.slice(1000, 2000).arrayBuffer()), large.slice(1000, 2000));
assert.ok(await hub.fileExists({ ...at, path: "README.md" }));
assert.ok(!(await hub.fileExists({ ...at, path: "missing" })));
assert.equal((await hub.datasetInfo({ hubUrl, accessToken, name: "alice/js", additionalFields: ["tags"] })).tags[0], "license:mit");
const names = [];
for await (const item of hub.listDatasets({ hubUrl, accessToken, search: { owner: "alice", query: "js" } })) names.push(item.name);
assert.deepEqual(names, ["alice/js"]);
assert.equal(await hub.countCommits(at), 4);
const titles = [];
for await (const commit of hub.listCommits(at)) titles.push(commit.title);
assert.equal(titles.at(-2), "one");
await hub.createBranch({ ...at, branch: "side/x" });
const pull = await hub.commit({
  ...at, title: "by pull request", isPullRequest: true,
  operations: [{ operation: "addOrUpdate", path: "pr.txt", content: new Blob(["pr"]) }],
});
assert.ok(pull.pullRequestUrl.endsWith("/discussions/1"));
const paths = await hub.pathsInfo({ ...at, paths: ["README.md", "missing"], expand: true });
assert.equal(paths.length, 1);
await assert.rejects(
  hub.commit({ ...at, title: "late", parentCommit: first.commit.oid, operations: [{ operation: "delete", path: "u.parquet" }] }),
  (error) => error.statusCode === 412,
);
await hub.deleteRepo(at);
assert.ok(!(await hub.repoExists(at)));
