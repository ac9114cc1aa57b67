SELECT count(*) AS hits FROM hits WHERE AdvEngineID > 0
