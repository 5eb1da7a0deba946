"""Where every column comes from, from the shop's raw tables to features and models, with the purposes of each asset."""

from typing import Annotated

import psycopg
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from privacy import lineage, registry
from privacy.contracts import Category, LegalBasis, Purpose
from serving.auth import RequirePrivacy
from serving.logs import described, log
from serving.problems import UNAVAILABLE, Problem, problem_responses

__all__ = ["router"]

router = APIRouter(prefix="/v1/lineage", tags=["assets"], dependencies=[RequirePrivacy])


class ColumnSource(BaseModel):
    """A column that another one is made of."""

    asset: Annotated[
        str, Field(description="Key of an asset, or `source/` and the name of a raw table")
    ]
    column: str


class Column(BaseModel):
    """A column of an asset."""

    name: str
    type: str
    sources: Annotated[
        list[ColumnSource] | None,
        Field(
            description="What its values were made of at the last materialisation; null where none has recorded it"
        ),
    ]


class LineageOfAsset(BaseModel):
    """One asset, what it is made from, and what it may be used for."""

    key: str
    category: Category
    purposes: list[Purpose]
    legal_basis: LegalBasis | None
    inputs: Annotated[list[str], Field(description="Keys of the assets that it is made from")]
    columns: list[Column]


class Lineage(BaseModel):
    """Every asset of the platform."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "assets": [
                        {
                            "key": "features/subject_profile",
                            "category": "pseudonymous",
                            "purposes": ["personalisation"],
                            "legal_basis": "consent",
                            "inputs": ["features/registry", "lake/subject_profile"],
                            "columns": [
                                {
                                    "name": "mean_price",
                                    "type": "Float64",
                                    "sources": [
                                        {"asset": "lake/subject_profile", "column": "mean_price"}
                                    ],
                                }
                            ],
                        }
                    ]
                }
            ]
        }
    )

    assets: list[LineageOfAsset]


@router.get(
    "",
    summary="Show the lineage of every column",
    response_description="Every asset with its inputs and columns",
    responses=problem_responses(UNAVAILABLE),
)
async def get_lineage() -> Lineage:
    """List assets, their columns, and what each column's values were made of when the asset was last materialised.

    Names and types only; the page `/lineage` draws it.
    """
    try:
        return await run_in_threadpool(_lineage)
    except psycopg.OperationalError as error:
        log.error("the registry does not answer", **described(error))
        raise Problem(UNAVAILABLE, headers={"Retry-After": "5"}) from None


def _lineage() -> Lineage:
    contracts = {contract.key: contract for contract in registry.load().contracts}
    return Lineage(
        assets=[
            LineageOfAsset(
                key=shape.key,
                category=contracts[shape.key].category,
                purposes=list(contracts[shape.key].purposes),
                legal_basis=contracts[shape.key].legal_basis,
                inputs=list(shape.inputs),
                columns=[
                    Column(name=name, type=kind, sources=_sources(shape, name))
                    for name, kind in shape.columns.items()
                ],
            )
            for shape in lineage.shapes()
            if shape.key in contracts
        ]
    )


def _sources(shape: lineage.AssetShape, column: str) -> list[ColumnSource] | None:
    found = shape.sources.get(column)
    return (
        None if found is None else [ColumnSource(asset=asset, column=name) for asset, name in found]
    )
