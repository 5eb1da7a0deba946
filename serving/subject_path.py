"""Subject references where a privacy route needs a person, in a body or a path."""

from privacy.subject_reference import InvalidSubjectReferenceError, open_reference
from serving.problems import Problem, ProblemKind

__all__ = ["INVALID_REFERENCE", "opened"]

INVALID_REFERENCE = ProblemKind(
    "invalid-subject-reference",
    422,
    "The subject reference cannot be used",
    "Ask POST /v1/subjects/reference for a new one: this one was not issued here, was changed, or has expired.",
)


def opened(reference: str) -> str:
    """The pseudonym in `reference`.

    A forged, changed or expired one is the same problem, and a valid one opens whether or not anybody is known by it: no
    answer tells who is a customer.
    """
    try:
        return open_reference(reference)
    except InvalidSubjectReferenceError:
        raise Problem(INVALID_REFERENCE) from None
