SELECT URLHash, EventDate, count(*) AS views
FROM hits
WHERE CounterID = 46837 AND EventDate BETWEEN DATE '2013-07-02' AND DATE '2013-07-30'
    AND IsRefresh = 0 AND TraficSourceID IN (-1, 8) AND RefererHash = 5050385840363094994
GROUP BY URLHash, EventDate
ORDER BY views DESC, URLHash, EventDate
LIMIT 10 OFFSET 100
