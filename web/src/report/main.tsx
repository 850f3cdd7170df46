import { render } from "preact";
import "../ui/tokens.css";
import "../ui/base.css";
import "../ui/shownTexts";
import "../app/theme";
import { readData } from "./data";
import { Report } from "./Report";

const page = document.getElementById("page");
document.documentElement.dataset.live = "no";
if (page) render(<Report data={readData()} />, page);
