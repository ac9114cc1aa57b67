SELECT count(*) AS hits FROM hits WHERE URL LIKE '%google%'
