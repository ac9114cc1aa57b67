SELECT UserID, count(*) AS hits
FROM hits
GROUP BY UserID
ORDER BY hits DESC, UserID
LIMIT 10
