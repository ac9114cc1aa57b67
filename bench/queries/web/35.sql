SELECT 1 AS one, URL, count(*) AS hits
FROM hits
GROUP BY one, URL
ORDER BY hits DESC, URL
LIMIT 10
