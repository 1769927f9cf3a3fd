/* Renews what a running job says on its page, while somebody looks at it; loads the page anew once the job has ended. */
"use strict";

(function () {
    const RENEW_MS = 1000;
    const PATIENCE_MS = 10000;
    const box = document.getElementById("job-running");
    let timer = null;

    if (!box) {
        return;
    }

    async function renew() {
        clearTimeout(timer);
        if (document.hidden) {
            return;
        }
        try {
            const response = await fetch(box.dataset.address, {
                headers: {Accept: "application/json"}, signal: AbortSignal.timeout(PATIENCE_MS),
            });
            if (!response.ok || response.redirected) {
                throw new Error(response.status);
            }
            const answer = await response.json();
            if (!answer.runs) {
                location.reload();
                return;
            }
            show(answer.part);
        } catch {
            /* The next try may be answered. */
        }
        timer = setTimeout(renew, RENEW_MS);
    }

    /* Stays at the end for who reads there, and where it was for who does not. */
    function show(part) {
        const before = box.querySelector(".job-log");
        const isFocused = before !== null && before === document.activeElement;
        const top = before === null ? 0 : before.scrollTop;
        const isAtEnd = before === null || top + before.clientHeight >= before.scrollHeight - 4;
        box.innerHTML = part;
        const after = box.querySelector(".job-log");
        if (after !== null) {
            after.scrollTop = isAtEnd ? after.scrollHeight : top;
            if (isFocused) {
                after.focus({preventScroll: true});
            }
        }
    }

    timer = setTimeout(renew, RENEW_MS);
    document.addEventListener("visibilitychange", renew);
})();
