/* Refreshes the progress and log of a running job while the page is visible, and reloads the page once the job has finished. */
"use strict";

(function () {
    const REFRESH_MS = 1000;
    const TIMEOUT_MS = 10000;
    const live = document.getElementById("job-live");
    let timer = null;

    if (!live) {
        return;
    }

    async function refresh() {
        clearTimeout(timer);
        if (document.hidden) {
            return;
        }
        try {
            const response = await fetch(live.dataset.url, {
                headers: {Accept: "application/json"}, signal: AbortSignal.timeout(TIMEOUT_MS),
            });
            if (!response.ok || response.redirected) {
                throw new Error(response.status);
            }
            const status = await response.json();
            if (!status.is_running) {
                location.reload();
                return;
            }
            show(status.html);
        } catch {
            /* The next refresh tries again. */
        }
        timer = setTimeout(refresh, REFRESH_MS);
    }

    /* Keeps the scroll position of the log, or its end if that was visible; and text that is selected to be copied. */
    function show(html) {
        const {isCollapsed, anchorNode} = getSelection();
        if (!isCollapsed && live.contains(anchorNode)) {
            return;
        }
        const before = live.querySelector(".job-log");
        const isFocused = before !== null && before === document.activeElement;
        const top = before === null ? 0 : before.scrollTop;
        const isAtEnd = before === null || top + before.clientHeight >= before.scrollHeight - 4;
        live.innerHTML = html;
        const after = live.querySelector(".job-log");
        if (after !== null) {
            after.scrollTop = isAtEnd ? after.scrollHeight : top;
            if (isFocused) {
                after.focus({preventScroll: true});
            }
        }
    }

    timer = setTimeout(refresh, REFRESH_MS);
    document.addEventListener("visibilitychange", refresh);
})();
