SELECT Title, count(*) AS views
FROM hits
WHERE CounterID = 46837 AND EventDate BETWEEN DATE '2013-07-02' AND DATE '2013-07-30'
    AND DontCountHits = 0 AND IsRefresh = 0 AND Title <> ''
GROUP BY Title
ORDER BY views DESC, Title
LIMIT 10
