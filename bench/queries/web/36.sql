SELECT ClientIP, ClientIP - 1 AS below1, ClientIP - 2 AS below2, ClientIP - 3 AS below3, count(*) AS hits
FROM hits
GROUP BY ClientIP, below1, below2, below3
ORDER BY hits DESC, ClientIP
LIMIT 10
