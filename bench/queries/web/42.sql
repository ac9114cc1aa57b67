SELECT WindowClientWidth, WindowClientHeight, count(*) AS views
FROM hits
WHERE CounterID = 46837 AND EventDate BETWEEN DATE '2013-07-02' AND DATE '2013-07-30'
    AND IsRefresh = 0 AND DontCountHits = 0 AND URLHash = 5050385840363094994
GROUP BY WindowClientWidth, WindowClientHeight
ORDER BY views DESC, WindowClientWidth, WindowClientHeight
LIMIT 10 OFFSET 200
