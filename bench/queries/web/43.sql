SELECT date_trunc('minute', EventTime) AS moment, count(*) AS views
FROM hits
WHERE CounterID = 46837 AND EventDate BETWEEN DATE '2013-07-08' AND DATE '2013-07-14'
    AND IsRefresh = 0 AND DontCountHits = 0
GROUP BY moment
ORDER BY moment
LIMIT 10 OFFSET 1000
