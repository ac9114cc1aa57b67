SELECT regexp_replace(Referer, '^[a-z]+://(www[.])?([^/?]+).*$', '\2') AS host, avg(length(Referer)) AS mean_length, count(*) AS hits,
    min(Referer) AS least
FROM hits
WHERE Referer <> ''
GROUP BY host
HAVING count(*) > 10000
ORDER BY mean_length DESC, host
LIMIT 20
