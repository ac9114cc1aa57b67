SELECT SearchPhrase, min(URL) AS address, count(*) AS hits
FROM hits
WHERE SearchPhrase <> '' AND URL LIKE '%google%'
GROUP BY SearchPhrase
ORDER BY hits DESC, SearchPhrase
LIMIT 10
