SELECT SearchEngineID, ClientIP, count(*) AS hits, sum(IsRefresh) AS refreshed, avg(ResolutionWidth) AS width
FROM hits
WHERE SearchPhrase <> ''
GROUP BY SearchEngineID, ClientIP
ORDER BY hits DESC, SearchEngineID, ClientIP
LIMIT 10
