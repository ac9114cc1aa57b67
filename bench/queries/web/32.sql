-- compare: count
SELECT WatchID, ClientIP, count(*) AS hits, sum(IsRefresh) AS refreshed, avg(ResolutionWidth) AS width
FROM hits
WHERE SearchPhrase <> ''
GROUP BY WatchID, ClientIP
ORDER BY hits DESC
LIMIT 10
