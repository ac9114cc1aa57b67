SELECT SearchPhrase, min(URL) AS address, min(Title) AS heading, count(*) AS hits, count(DISTINCT UserID) AS users
FROM hits
WHERE SearchPhrase <> '' AND Title LIKE '%Google%' AND URL NOT LIKE '%.google.%'
GROUP BY SearchPhrase
ORDER BY hits DESC, SearchPhrase
LIMIT 10
