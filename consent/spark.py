"""The consent filter for Spark. The ledger's intervals reach Spark from memory, through Arrow."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from consent.agreements import agreements, objectors
from consent.purposes import needs_consent
from privacy.contracts import Purpose

__all__ = ["consented"]


def consented(df: DataFrame, purpose: Purpose, at: str, asset_key: str) -> DataFrame:
    """The rows of `df` that serve `purpose` and whose subject is not left out of `asset_key`.

    Parameters
    ----------
    df: rows with the columns ``pseudonym`` and `at`, the time at which the row happened.

    A row serves a purpose that rests on consent if its subject agreed when it happened and still agrees now; a purpose
    under contract needs no agreement. Without a subject or a time, a row serves nothing that needs consent. The same
    rule is in dbt/macros/consented.sql and, for serving, in `consent.masks`.
    """
    spark = df.sparkSession
    objected = spark.createDataFrame(objectors(asset_key)).withColumnRenamed(
        "pseudonym", "_objector"
    )
    kept = df.join(objected, F.col("pseudonym") == F.col("_objector"), "left_anti")
    if not needs_consent(purpose):
        return kept
    agreed = spark.createDataFrame(agreements(purpose)).withColumnsRenamed(
        {"pseudonym": "_subject", "valid_from": "_valid_from", "valid_to": "_valid_to"}
    )
    at_that_time = (F.col("_valid_from") <= F.col(at)) & (
        F.col("_valid_to").isNull() | (F.col(at) < F.col("_valid_to"))
    )
    return kept.join(agreed, (F.col("pseudonym") == F.col("_subject")) & at_that_time, "left_semi")
