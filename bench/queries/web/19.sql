SELECT UserID, extract(MINUTE FROM EventTime) AS clock_minute, SearchPhrase, count(*) AS hits
FROM hits
GROUP BY UserID, clock_minute, SearchPhrase
ORDER BY hits DESC, UserID, clock_minute, SearchPhrase
LIMIT 10
