// Builds the page into the package, and says how large each part is. Fails if a part exceeds its bound.
import { readdir, readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const BUILT = new URL("../../nemorun_cli/page/static/", import.meta.url);
const FIRST_VIEW = 60_000; // bytes, compressed: what index.html loads
const ALL = 500_000;

await build({ logLevel: "warn" });
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
