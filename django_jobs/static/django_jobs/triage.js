/* Dead letters by error: loads the evidence of an error beside the list, and acts by keys. Without it each row is a link and each action a button. */
"use strict";

(function () {
    const TIMEOUT_MS = 20000;
    const PAUSE_MS = 120;
    const STORED = "django_jobs.triage.keys";
    const TYPED_IN = "input, textarea, select, [contenteditable]";

    const box = document.getElementById("triage");
    const list = document.getElementById("triage-list");
    const pane = document.getElementById("triage-evidence");
    const status = document.getElementById("triage-status");
    const dialog = document.getElementById("triage-keys");
    const isOn = document.getElementById("triage-keys-on");
    let request = null;
    let timer = null;
    let pending = Promise.resolve();
    let isSending = false;
    let undo = null;

    function rows() {
        return [...list.querySelectorAll("a[data-fingerprint]")];
    }

    function current() {
        return list.querySelector("a[aria-current]");
    }

    function shown() {
        return pane.querySelector("article")?.dataset.fingerprint;
    }

    function isWide() {
        return getComputedStyle(list.parentElement).display === "grid";
    }

    function announce(text) {
        status.textContent = "";
        requestAnimationFrame(() => (status.textContent = text));
    }

    /* Marks a row, and loads its evidence once the keys rest. What acts waits for `pending`. */
    function select(row, {isFocused = true, how = "replaceState", pause = 0} = {}) {
        current()?.removeAttribute("aria-current");
        row.setAttribute("aria-current", "true");
        row.scrollIntoView({block: "nearest"});
        if (isFocused) {
            row.focus({preventScroll: true});
        }
        if (how) {
            history[how](null, "", row.href);
        }
        box.classList.add("triage-is-open");
        pane.setAttribute("aria-busy", "true");
        clearTimeout(timer);
        request?.abort();
        request = new AbortController();
        const {signal} = request;
        pending = new Promise((resolve) => {
            signal.addEventListener("abort", resolve);
            timer = setTimeout(() => load(row, signal).finally(resolve), pause);
        });
        return pending;
    }

    async function load(row, signal) {
        try {
            const response = await fetch(row.dataset.evidence, {signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])});
            if (!response.ok || response.redirected) {
                throw new Error(response.status);
            }
            pane.innerHTML = await response.text();
            pane.removeAttribute("aria-busy");
        } catch (error) {
            if (!signal.aborted) {
                announce(box.dataset.failed);
            }
        }
    }

    /* Posts a form of the evidence and takes over the page that answers: what the server says is what is shown. */
    async function send(form) {
        if (isSending) {
            return;
        }
        isSending = true;
        const acted = form.getAttribute("action").split("/").at(-3);
        const at = Math.max(rows().indexOf(current()), 0);
        try {
            const response = await fetch(form.action, {method: "POST", body: new FormData(form), signal: AbortSignal.timeout(TIMEOUT_MS)});
            const page = new DOMParser().parseFromString(await response.text(), "text/html");
            const fresh = page.getElementById("triage");
            if (!response.ok || fresh === null) {
                throw new Error(response.status);
            }
            take(fresh, acted, at, form.dataset.action);
        } catch {
            announce(box.dataset.failed);
        } finally {
            isSending = false;
        }
    }

    function take(fresh, acted, at, action) {
        const form = fresh.querySelector(`#triage-evidence form[data-undoes="${action}"]`);
        undo = form === null || action === "undo" ? null : document.importNode(form, true);
        for (const id of ["triage-tabs", "triage-list"]) {
            document.getElementById(id).innerHTML = fresh.querySelector(`#${id}`).innerHTML;
        }
        const same = rows().find((row) => row.dataset.fingerprint === acted);
        const next = rows()[Math.min(at, rows().length - 1)];
        if (same || !next) {
            pane.innerHTML = fresh.querySelector("#triage-evidence").innerHTML;
            pane.removeAttribute("aria-busy");
            if (same) {
                history.replaceState(null, "", same.href);
            }
            (same ?? pane.querySelector(".triage-title")).focus();
        } else if (isWide()) {
            select(next);
        } else {
            box.classList.remove("triage-is-open");
            pane.replaceChildren();
            next.focus();
        }
        announce(fresh.dataset.messages);
    }

    function move(by) {
        const all = rows();
        const from = isWide() ? current() : document.activeElement;
        const at = all.indexOf(from);
        const row = all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)];
        if (!row) {
            return;
        }
        if (!isWide()) {
            row.focus();
        } else if (row !== current() || shown() !== row.dataset.fingerprint) {
            select(row, {pause: PAUSE_MS});
        } else {
            row.focus();
        }
    }

    async function open() {
        const focused = document.activeElement.closest?.("a[data-fingerprint]") ?? current() ?? rows()[0];
        if (!focused) {
            return;
        }
        if (!isWide()) {
            location.assign(focused.href);
            return;
        }
        await (focused === current() ? pending : select(focused));
        pane.querySelector(".triage-title")?.focus();
    }

    /* Presses the button of a key, once the evidence is that of the marked row: no key acts on an error that is not shown. */
    async function press(key) {
        await pending;
        const marked = current();
        if (marked && marked.dataset.fingerprint !== shown()) {
            return;
        }
        const button = pane.querySelector(`[data-key="${key}"]`);
        if (button === null) {
            announce(box.dataset.unavailable);
        } else {
            button.click();
        }
    }

    function takeBack() {
        if (undo !== null) {
            send(undo);
        } else if (pane.querySelector('[data-key="u"]')) {
            press("u");
        } else {
            announce(box.dataset.nothing);
        }
    }

    const KEYS = {
        j: () => move(1),
        k: () => move(-1),
        o: open,
        u: takeBack,
        "?": () => dialog.showModal(),
        ...Object.fromEntries(["r", "e", "m", "p"].map((key) => [key, () => press(key)])),
    };

    document.addEventListener("keydown", (event) => {
        const isModified = event.ctrlKey || event.metaKey || event.altKey || event.isComposing;
        const isElsewhere = event.target.closest?.(TYPED_IN) || document.querySelector("dialog[open]");
        if (!isOn.checked || isModified || event.defaultPrevented || isElsewhere) {
            return;
        }
        const isRepeated = event.repeat && !["j", "k"].includes(event.key);
        if (Object.hasOwn(KEYS, event.key) && !isRepeated) {
            event.preventDefault();
            KEYS[event.key]();
        }
    });

    list.addEventListener("click", (event) => {
        const row = event.target.closest("a[data-fingerprint]");
        const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
        if (row && isPlain && isWide()) {
            event.preventDefault();
            const isByKeyboard = event.detail === 0;
            const loaded = select(row, {how: "pushState"});
            if (isByKeyboard) {
                loaded.then(() => pane.querySelector(".triage-title")?.focus());
            }
        }
    });

    pane.addEventListener("submit", (event) => {
        if (event.target.dataset.action) {
            event.preventDefault();
            send(event.target);
        }
    });

    addEventListener("popstate", () => {
        const row = rows().find((one) => one.href === location.href);
        if (row && isWide()) {
            select(row, {how: null});
        } else {
            location.reload();
        }
    });

    function setKeys(isUsed) {
        isOn.checked = isUsed;
        box.classList.toggle("triage-keys-off", !isUsed);
        try {
            localStorage.setItem(STORED, isUsed ? "on" : "off");
        } catch {
            /* Without storage the choice holds for this page. */
        }
    }

    function storedKeys() {
        try {
            return localStorage.getItem(STORED) !== "off";
        } catch {
            return true;
        }
    }

    const button = document.getElementById("triage-show-keys");
    button.hidden = false;
    button.addEventListener("click", () => dialog.showModal());
    isOn.addEventListener("change", () => setKeys(isOn.checked));
    setKeys(storedKeys());
    if (!shown() && rows().length && isWide()) {
        select(rows()[0], {isFocused: false, how: null});
    }
})();
