SELECT UserID, SearchPhrase, count(*) AS hits
FROM hits
GROUP BY UserID, SearchPhrase
ORDER BY hits DESC, UserID, SearchPhrase
LIMIT 10
