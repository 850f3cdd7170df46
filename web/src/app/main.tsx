import "./fragment";
import { render } from "preact";
import "../ui/tokens.css";
import "../ui/base.css";
import "../ui/shownTexts";
import { App } from "./App";

const page = document.getElementById("page");
if (page) render(<App />, page);
