SELECT avg(toFloat64(UserID)) AS mean_user FROM hits
