-- Forecasting revenue change. Validation parameters: DATE = 1994-01-01, DISCOUNT = 0.06, QUANTITY = 24.
-- Sums of decimal literals are floats to ClickHouse.
select sum(l_extendedprice * l_discount) as revenue
from lineitem
where l_shipdate >= date '1994-01-01'
    and l_shipdate < date '1994-01-01' + interval '1' year
    and l_discount between toDecimal32('0.05', 2) and toDecimal32('0.07', 2)
    and l_quantity < 24;
