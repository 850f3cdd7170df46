import { defineConfig } from "vite";

/** The page: `index.html` and the parts that it loads on use, with the hash of their content in their names. */
export default defineConfig({
  base: "/static/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../nemorun_cli/page/static",
    emptyOutDir: true,
    target: "es2022",
    assetsDir: "",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    license: { fileName: "licences.md" },
  },
});
