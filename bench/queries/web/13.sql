SELECT SearchPhrase, count(*) AS hits
FROM hits
WHERE SearchPhrase <> ''
GROUP BY SearchPhrase
ORDER BY hits DESC, SearchPhrase
LIMIT 10
