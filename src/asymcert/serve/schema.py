"""What the OpenAPI page says of requests and answers; nothing is checked by it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class CertifyRequest(BaseModel):
    """Samples, of one kind, and what is asked of each."""

    rows: list[dict[str, Any]] | None = Field(None, description="Rows of a table: a value for each column, by name.")
    texts: list[str] | None = Field(None, description="Texts, for a model of texts.")
    arrays: list[list[Any]] | None = Field(None, description="A model's own inputs, nested or flat.")
    threats: list[str] = Field([], description="Names of adversaries, see /v1/model; by default the first.")
    reasons: bool = Field(False, description="Whether to say what carries each verdict.")
    evasions: bool = Field(False, description="Whether to give the cheapest changed row that is known to undo it.")


class Answer(BaseModel):
    """About one sample."""

    verdict: str | None = Field(description="Name of a class; null where there is none.")
    margin: float | None = Field(description="Score minus threshold; the verdict is sensitive where it is positive.")
    radii: dict[str, float | str] = Field(description="By threat: no change of less undoes the verdict; may be 'inf'.")
    problem: str | None = Field(description="Why the sample has no verdict, else null.")
    reasons: list[dict[str, Any]] | None = Field(None, description="Columns or words and their shares of the margin.")
    evasion: dict[str, Any] | None = Field(None, description="New values of columns, or an edited text.")


class CertifyAnswer(BaseModel):
    """One answer for each sample, in their order."""

    model: str = Field(description="Digest of the model that answered.")
    answers: list[Answer] = Field(description="Each with:")


class Problem(BaseModel):
    """What a mistake is answered with (RFC 9457)."""

    title: str
    status: int
    detail: str = Field(description="What was wrong and how to put it right, in one line.")
    problems: list[dict[str, Any]] | None = Field(None, description="One line for each bad row.")


def of_request(model: type[BaseModel]) -> dict[str, Any]:
    """What a route that reads its body itself adds to its description."""
    schema = {"schema": model.model_json_schema()}
    return {"requestBody": {"required": True, "content": {"application/json": schema}}}


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Answers with problems, as a route describes them."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": "A problem.", "content": content} for status in statuses}
