SELECT TraficSourceID, SearchEngineID, AdvEngineID,
    CASE WHEN SearchEngineID > 0 OR AdvEngineID > 0 THEN '' ELSE Referer END AS came_from,
    URL AS went_to, count(*) AS views
FROM hits
WHERE CounterID = 46837 AND EventDate BETWEEN DATE '2013-07-02' AND DATE '2013-07-30' AND IsRefresh = 0
GROUP BY TraficSourceID, SearchEngineID, AdvEngineID, came_from, went_to
ORDER BY views DESC, TraficSourceID, SearchEngineID, AdvEngineID, came_from, went_to
LIMIT 10 OFFSET 500
