// Reads a JSON list of texts from stdin, writes the number of o200k_base tokens of each to stdout.
// Argument: the directory that gpt-tokenizer is installed in.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.argv[2]}/`);
const { encode } = require("gpt-tokenizer/encoding/o200k_base");
const texts = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(texts.map((text) => encode(text).length)));
