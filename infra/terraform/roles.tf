# The nodes' roles, which reach the whole bucket, and a role for each tenant, which reaches its prefix.

locals {
  kms_key_arns = var.kms_key_arn == null ? [] : [var.kms_key_arn]
  # One certificate for each coordinator, and one that the shards share: a group has no names beforehand.
  certificates = toset(concat([for number in values(local.coordinators) : "coordinator-${number}"], ["shard"]))
}

# Filled by hand, so that no key is in Terraform's state.
resource "aws_secretsmanager_secret" "certificates" {
  for_each    = local.certificates
  name        = "${var.name}/certificates/${each.key}"
  description = "A tar of the node's folder that `tundra cert` makes"
  kms_key_id  = var.kms_key_arn
}

data "aws_iam_policy_document" "instance" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "node" {
  for_each           = local.certificates
  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.instance.json
}

resource "aws_iam_instance_profile" "node" {
  for_each = local.certificates
  name     = "${var.name}-${each.key}"
  role     = aws_iam_role.node[each.key].name
}

data "aws_iam_policy_document" "node" {
  for_each = local.certificates

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.data.arn}/*"]
  }
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]
  }
  statement {
    sid       = "Binary"
    actions   = ["s3:GetObject"]
    resources = ["arn:aws:s3:::${var.binary.bucket}/${var.binary.key}"]
  }
  statement {
    sid       = "Certificate"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.certificates[each.key].arn]
  }
  dynamic "statement" {
    for_each = local.kms_key_arns
    content {
      sid       = "Key"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role_policy" "node" {
  for_each = local.certificates
  name     = "node"
  role     = aws_iam_role.node[each.key].id
  policy   = data.aws_iam_policy_document.node[each.key].json
}

data "aws_iam_policy_document" "tenant_trust" {
  for_each = var.tenants
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = each.value
    }
  }
}

# For those who bring a tenant's Parquet. Manifests are Tundra's: they say what a dataset is.
data "aws_iam_policy_document" "tenant" {
  for_each = var.tenants

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.data.arn}/${each.key}/*"]
  }
  statement {
    sid       = "Manifests"
    effect    = "Deny"
    actions   = ["s3:PutObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.data.arn}/${each.key}/*/manifests/*"]
  }
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${each.key}/*"]
    }
  }
  dynamic "statement" {
    for_each = local.kms_key_arns
    content {
      sid       = "Key"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.region}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_role" "tenant" {
  for_each           = var.tenants
  name               = "${var.name}-tenant-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.tenant_trust[each.key].json
}

resource "aws_iam_role_policy" "tenant" {
  for_each = var.tenants
  name     = "prefix"
  role     = aws_iam_role.tenant[each.key].id
  policy   = data.aws_iam_policy_document.tenant[each.key].json
}
