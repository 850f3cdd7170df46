// Writes src/api/documents/NAME.ts for each schema of the repository: what the server answers.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { compile } from "json-schema-to-typescript";

const SCHEMAS = new URL("../../schemas/", import.meta.url);
const DOCUMENTS = new URL("../src/api/documents/", import.meta.url);
const ENDING = ".schema.json";

const pascal = (name) => name.replace(/(^|-)(.)/g, (_, __, letter) => letter.toUpperCase());

await rm(DOCUMENTS, { recursive: true, force: true });
await mkdir(DOCUMENTS);
for (const file of (await readdir(SCHEMAS)).filter((name) => name.endsWith(ENDING)).sort()) {
  const name = file.slice(0, -ENDING.length);
  const { $id: _, title: __, ...schema } = JSON.parse(await readFile(new URL(file, SCHEMAS), "utf8"));
  const source = await compile(schema, `${pascal(name)}Document`, {
    additionalProperties: false,
    bannerComment: `// Generated from schemas/${file} by "npm run types".`,
    format: false,
    unknownAny: true,
  });
  await writeFile(new URL(`${name}.ts`, DOCUMENTS), source);
}
