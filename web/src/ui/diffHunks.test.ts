import { expect, test } from "vitest";
import { parseUnifiedDiff, textHunks } from "./diffHunks";

const DIFF = `diff --git a/net.py b/net.py
index 1..2 100644
--- a/net.py
+++ b/net.py
@@ -38,3 +38,3 @@ def build():
     batch = 100
-    return old()
+    return new()
 
diff --git a/a b/b.txt b/a b/b.txt
new file mode 100644
--- /dev/null
+++ b/a b/b.txt
@@ -0,0 +1 @@
+--- not a header
\\ No newline at end of file
diff --git a/x.bin b/x.bin
Binary files a/x.bin and b/x.bin differ
`;

test("a diff has its files, with the numbers of their lines", () => {
  const [first, second, third] = parseUnifiedDiff(DIFF);
  expect(first).toMatchObject({ name: "net.py", from: null, added: 1, removed: 1 });
  expect(first?.hunks[0]?.heading).toBe("def build():");
  expect(first?.hunks[0]?.lines.map((line) => [line.kind, line.before, line.after])).toEqual([
    ["same", 38, 38],
    ["removed", 39, null],
    ["added", null, 39],
    ["same", 40, 40],
  ]);
  expect(second).toMatchObject({ name: "a b/b.txt", notes: ["new file"], added: 1 });
  expect(second?.hunks[0]?.lines[0]?.text).toBe("--- not a header");
  expect(third).toMatchObject({ name: "x.bin", notes: ["binary"], hunks: [] });
});

test("two texts differ by lines", () => {
  expect(textHunks("a\nb\n", "a\nb\n")).toEqual([]);
  expect(textHunks("a\nb\n", "a\nc\n")[0]?.lines.map((line) => line.kind)).toEqual([
    "same",
    "removed",
    "added",
  ]);
});
