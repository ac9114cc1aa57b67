-- compare: count
SELECT UserID, SearchPhrase, count(*) AS hits
FROM hits
GROUP BY UserID, SearchPhrase
LIMIT 10
