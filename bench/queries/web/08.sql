SELECT AdvEngineID, count(*) AS hits
FROM hits
WHERE AdvEngineID > 0
GROUP BY AdvEngineID
ORDER BY hits DESC, AdvEngineID
