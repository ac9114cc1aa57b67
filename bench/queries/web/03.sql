SELECT sum(AdvEngineID) AS engines, count(*) AS hits, avg(ResolutionWidth) AS width FROM hits
