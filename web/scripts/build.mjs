// Builds the page into the package, or into the folder that is named, and says how large each part is.
// Fails if it exceeds its bounds.
import { readdir, readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const named = process.argv[2];
const BUILT = named
  ? pathToFileURL(`${resolve(named)}/`)
  : new URL("../../nemorun_cli/page/static/", import.meta.url);
const FIRST_VIEW = 60_000; // bytes, compressed: what index.html loads
const ALL = 500_000;

await build({ logLevel: "warn", build: { outDir: fileURLToPath(BUILT) } });
const index = await readFile(new URL("index.html", BUILT), "utf8");
let first = 0;
let all = 0;
for (const name of (await readdir(BUILT)).sort()) {
  if (!/\.(js|css|html)$/.test(name)) continue;
  const size = gzipSync(await readFile(new URL(name, BUILT)), { level: 9 }).length;
  const isFirst = name === "index.html" || index.includes(`/static/${name}"`);
  console.log(`${(size / 1000).toFixed(1).padStart(7)} kB  ${name}${isFirst ? "  (first view)" : ""}`);
  first += isFirst ? size : 0;
  all += size;
}
console.log(`${(first / 1000).toFixed(1)} kB first view, ${(all / 1000).toFixed(1)} kB in all, compressed`);
if (first > FIRST_VIEW || all > ALL) {
  console.error(`The first view may have ${FIRST_VIEW} bytes, all of it ${ALL}.`);
  process.exit(1);
}
