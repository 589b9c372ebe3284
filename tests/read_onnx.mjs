// Prints what transformers.js makes of a student: node read_onnx.mjs FOLDER KIND DTYPE TEXT [CONTEXT]
import path from "node:path";
import { AutoModelForSequenceClassification, AutoTokenizer, env, pipeline, softmax } from "@huggingface/transformers";

const [folder, kind, dtype, text, context] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = path.dirname(folder);
const name = path.basename(folder);
if (kind === "spans") {
  const answer = await pipeline("question-answering", name, { dtype });
  console.log(JSON.stringify(await answer(text, context)));
} else if (kind === "pairs") {
  const tokenizer = await AutoTokenizer.from_pretrained(name);
  const model = await AutoModelForSequenceClassification.from_pretrained(name, { dtype });
  const { logits } = await model(tokenizer(context, { text_pair: text, truncation: true }));
  console.log(JSON.stringify([...softmax(logits.data)]));
} else {
  const classify = await pipeline("text-classification", name, { dtype });
  const found = await classify(text, { top_k: null });
  console.log(JSON.stringify(Object.fromEntries(found.map(({ label, score }) => [label, score]))));
}
