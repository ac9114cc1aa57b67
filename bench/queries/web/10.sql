SELECT RegionID, sum(AdvEngineID) AS engines, count(*) AS hits, avg(ResolutionWidth) AS width,
    count(DISTINCT UserID) AS users
FROM hits
GROUP BY RegionID
ORDER BY hits DESC, RegionID
LIMIT 10
