# What coordinators and shards have in common.

data "aws_ami" "node" {
  most_recent = true
  owners      = var.ami_id == null ? ["136693071363"] : null # Debian's
  filter {
    name   = var.ami_id == null ? "name" : "image-id"
    values = [coalesce(var.ami_id, "debian-12-amd64-*")]
  }
}

locals {
  object_store = "s3://${aws_s3_bucket.data.id}"
  ebs_device   = "/dev/sdf"
  common_node = {
    region   = var.region
    binary   = var.binary
    sysusers = file("${path.module}/../systemd/tundra.sysusers")
  }
}
