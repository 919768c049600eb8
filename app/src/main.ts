import { mount } from "svelte";
import App from "./App.svelte";
import "../../src/unocclude/report/colours.css";
import "./app.css";

// the token has become a cookie; it need not stay in the address
if (location.search) history.replaceState(null, "", "/");
mount(App, { target: document.getElementById("app")! });
