/* Renews the next firings while a schedule's form is filled in; without a script the button "Preview" does. */
"use strict";

(function () {
    const PAUSE_MS = 250;
    const NAMES = ["name", "cron", "every", "timezone", "jitter"];

    const box = document.getElementById("schedule-preview");
    const row = document.getElementById("schedule-preview-row");
    if (!box || !row) {
        return;
    }
    const form = box.closest("form");
    let timer = null;
    let request = null;

    async function renew() {
        request?.abort();
        request = new AbortController();
        const url = new URL(box.dataset.url, location.href);
        NAMES.forEach((name) => url.searchParams.set(name, form.elements[name]?.value ?? ""));
        try {
            const response = await fetch(url, {
                headers: {Accept: "application/json"}, signal: request.signal,
            });
            if (response.ok && !response.redirected) {
                box.innerHTML = (await response.json()).html;
            }
        } catch (error) {
            if (error.name !== "AbortError") {
                row.hidden = false;
            }
        }
    }

    form.addEventListener("input", (event) => {
        if (NAMES.includes(event.target.name)) {
            clearTimeout(timer);
            timer = setTimeout(renew, PAUSE_MS);
        }
    });
    row.hidden = true;
})();
