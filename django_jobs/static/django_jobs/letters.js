/* Shows how far a bulk job is, every two seconds, while somebody looks at it and until it has ended. */
"use strict";

(function () {
    const RENEW_MS = 2000;
    const box = document.getElementById("bulk");
    const text = document.getElementById("bulk-text");
    const bar = document.getElementById("bulk-bar");

    async function renew() {
        if (document.hidden) {
            return;
        }
        try {
            const response = await fetch(box.dataset.address, {headers: {Accept: "application/json"}});
            if (response.ok && !response.redirected) {
                show(await response.json());
            }
        } catch {
            /* The next round tries again. */
        }
        if (!("ended" in box.dataset)) {
            setTimeout(renew, RENEW_MS);
        }
    }

    function show(status) {
        if (text.textContent !== status.text) {
            text.textContent = status.text;
        }
        if (status.total) {
            bar.max = status.total;
            bar.value = status.done;
        }
        if (status.is_final) {
            box.dataset.ended = "";
            location.reload();
        }
    }

    if (!("ended" in box.dataset)) {
        setTimeout(renew, RENEW_MS);
        document.addEventListener("visibilitychange", renew);
    }
})();
