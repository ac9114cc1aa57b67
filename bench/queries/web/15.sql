SELECT SearchEngineID, SearchPhrase, count(*) AS hits
FROM hits
WHERE SearchPhrase <> ''
GROUP BY SearchEngineID, SearchPhrase
ORDER BY hits DESC, SearchEngineID, SearchPhrase
LIMIT 10
