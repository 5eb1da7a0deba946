"""Run beside a demo, with its environment: says what of some bytes is left in its state, and whom a number stands for.

python -m tests.e2e.state_search < {"needles": [hex, …]}             → {"searched": 1234, "findings": ["…"]}
python -m tests.e2e.state_search < {"customer_numbers": ["…", …]}    → {"pseudonyms": ["…", …]}
"""

import json
import sys
from typing import Any

from privacy.vault import CUSTOMER_NUMBER, Vault
from privacy.verification import Verification, search_postgres, search_redis, search_state


def _search(needles: list[bytes]) -> dict[str, Any]:
    result = Verification()
    for search in (search_postgres, search_redis, search_state):
        result.add(search(needles))
    return {"searched": result.searched, "findings": [str(finding) for finding in result.findings]}


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    if "needles" in question:
        return _search([bytes.fromhex(text) for text in question["needles"]])
    numbers = question["customer_numbers"]
    return {"pseudonyms": Vault().resolve(CUSTOMER_NUMBER, numbers, create=False)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(json.load(sys.stdin))))
