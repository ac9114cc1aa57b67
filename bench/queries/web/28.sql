SELECT CounterID, avg(length(URL)) AS mean_length, count(*) AS hits
FROM hits
WHERE URL <> ''
GROUP BY CounterID
HAVING count(*) > 10000
ORDER BY mean_length DESC, CounterID
LIMIT 20
