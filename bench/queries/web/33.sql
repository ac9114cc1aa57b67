-- compare: count
SELECT WatchID, ClientIP, count(*) AS hits, sum(IsRefresh) AS refreshed, avg(ResolutionWidth) AS width
FROM hits
GROUP BY WatchID, ClientIP
ORDER BY hits DESC
LIMIT 10
