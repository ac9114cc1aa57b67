SELECT MobilePhoneModel, count(DISTINCT UserID) AS users
FROM hits
WHERE length(MobilePhoneModel) > 0
GROUP BY MobilePhoneModel
ORDER BY users DESC, MobilePhoneModel
LIMIT 10
